/**
 * The file of `--output`. A regular file is replaced as a whole when the command has succeeded: the results are written
 * beside it, and renamed. Until then, and after a failure or Ctrl-C, it holds what it held before, so that it may also
 * be the input of the command. A symbolic link stays a link.
 *
 * FIFOs and devices are written directly, and so are the results of endless commands, which others want to follow.
 */
export type ResultFile = {
  /** For results that have no end: must precede the first write. */
  writeDirectly(): void
  /** For secrets: only the owner may read the file. Must precede the first write. */
  protect(): void
  /** @throws CliError if the file can't be written. If it has a reader, and that is gone, the exit code is 0. */
  write(text: string | Uint8Array): Promise<void>
  /** Puts the results in place. @param hasFailed then only if there are any. */
  commit(hasFailed: boolean): Promise<void>
  /** Without a commit before it, the file stays as it was, unless it is written directly. */
  close(): Promise<void>
}
