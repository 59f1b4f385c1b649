/** For `--import`: each SIGUSR2 blocks the event loop for 5 seconds, as a very long computation would. */
const BLOCKED_MS = 5_000

process.on('SIGUSR2', () => {
  const until = performance.now() + BLOCKED_MS
  while (performance.now() < until);
})
