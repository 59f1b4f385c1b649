const root = document.documentElement

/** The button shows whether the theme is dark. Until it is pressed, the system decides (theme.js). */
export function startThemeToggle(button, changed) {
  const isDark = () => root.dataset.theme === 'dark'
  const show = () => button.setAttribute('aria-pressed', String(isDark()))

  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark'
    try {
      localStorage.setItem('theme', root.dataset.theme)
    } catch {
      // Without storage the choice lasts until the page is reloaded.
    }
  })
  new MutationObserver(() => {
    show()
    changed()
  }).observe(root, { attributeFilter: ['data-theme'] })
  show()
}
