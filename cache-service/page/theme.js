// Applies the theme before the first paint, so this script is not a module. It is the stored theme, or that of the system.
{
  const root = document.documentElement
  const systemIsDark = matchMedia('(prefers-color-scheme: dark)')
  const apply = () => {
    let stored
    try {
      stored = localStorage.getItem('theme')
    } catch {
      // Storage may be forbidden.
    }
    const system = systemIsDark.matches ? 'dark' : 'light'
    root.dataset.theme = stored === 'light' || stored === 'dark' ? stored : system
  }
  systemIsDark.addEventListener('change', apply)
  apply()
}
