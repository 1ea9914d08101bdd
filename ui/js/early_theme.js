// Runs before the first paint, so that the page never flashes in the other theme.
try {
  const theme = localStorage.getItem('tessera/theme');
  if (theme === '"light"' || theme === '"dark"') document.documentElement.dataset.theme = theme.slice(1, -1);
} catch {
  // Storage is closed to this page: the system's theme it is.
}
