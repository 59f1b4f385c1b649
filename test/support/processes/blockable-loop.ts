/**
 * For `--import`: each SIGUSR2 blocks the event loop for 5 seconds, as a very long computation would, and logs that it has.
 */
const BLOCKED_MS = 5_000

process.on('SIGUSR2', () => {
  const until = performance.now() + BLOCKED_MS
  while (performance.now() < until);
  process.stdout.write(`${JSON.stringify({ level: 'info', msg: 'the event loop was blocked' })}\n`)
})
