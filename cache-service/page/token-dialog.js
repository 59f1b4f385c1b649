/** Asks a person for a token until there is one; resolves with it. */
export function askForToken(dialog, wasRefused) {
  const form = dialog.querySelector('form')
  const input = form.elements.namedItem('token')
  const reason = dialog.querySelector('#token-reason')
  if (wasRefused) reason.textContent = 'The service does not accept this token. Another one, please.'
  input.value = ''
  return new Promise((resolve) => {
    const cancel = (event) => event.preventDefault() // without a token there is nothing to see
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
