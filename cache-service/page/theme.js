// Before the first paint, hence no module: the theme that was chosen here last.
try {
  const theme = localStorage.getItem('theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {
  // Storage may be forbidden; then it is the system's theme.
}
