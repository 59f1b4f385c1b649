import { runModel } from './run-model.ts'

// `make model`: MINUTES=10 by default. SEED, RUN_PATH and REPLAY repeat a failure: its seed, path and replayPath.

const { MINUTES, SEED, RUN_PATH, REPLAY } = process.env
try {
  const sequences = await runModel({
    minutes: Number(MINUTES || '10'),
    shrinkMinutes: 5,
    ...(SEED && { seed: Number(SEED) }),
    ...(RUN_PATH && { path: RUN_PATH }),
    ...(REPLAY && { replayPath: REPLAY }),
    note: (text) => console.log(text),
  })
  console.log(`${sequences} sequences: none failed`)
} catch (error) {
  console.log(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
