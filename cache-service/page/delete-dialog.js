/** Resolves with whether the deletion was confirmed. */
export function confirmDelete(dialog, id) {
  dialog.querySelector('#delete-id').textContent = id
  dialog.returnValue = ''
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'delete'), { once: true })
  })
}
