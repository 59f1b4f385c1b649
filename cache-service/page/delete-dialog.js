/** Asks before a device is deleted. The dialog belongs to the device that it names: to cancel when another one is shown. */
export function createDeleteDialog(dialog) {
  const confirm = dialog.querySelector('[value=delete]')
  // The second click of a double click must not confirm what the first one asked for.
  confirm.addEventListener('click', (event) => {
    if (event.detail > 1) event.preventDefault()
  })
  return {
    /** Resolves with whether the deletion was confirmed; false if the dialog is already open. */
    confirm(id) {
      if (dialog.open) return Promise.resolve(false)
      dialog.querySelector('#delete-id').textContent = id
      dialog.returnValue = ''
      dialog.showModal()
      return new Promise((resolve) => {
        dialog.addEventListener('close', () => resolve(dialog.returnValue === 'delete'), { once: true })
      })
    },
    cancel() {
      if (dialog.open) dialog.close('cancel')
    },
  }
}
