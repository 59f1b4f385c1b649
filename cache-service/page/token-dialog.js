/** Shows the dialog until a token is entered; resolves with the token. */
export function askForToken(dialog, wasRefused) {
  const form = dialog.querySelector('form')
  const input = form.elements.namedItem('token')
  const reason = dialog.querySelector('#token-reason')
  if (wasRefused) reason.textContent = 'The service rejected this token. Enter another one.'
  input.value = ''
  return new Promise((resolve) => {
    const cancel = (event) => event.preventDefault() // without a token the page has nothing to show
    const submit = () => {
      dialog.removeEventListener('cancel', cancel)
      form.removeEventListener('submit', submit)
      resolve(input.value.trim())
      input.value = ''
    }
    dialog.addEventListener('cancel', cancel)
    form.addEventListener('submit', submit)
    if (!dialog.open) dialog.showModal()
    input.focus()
  })
}
