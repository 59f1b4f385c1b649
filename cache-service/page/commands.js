/** Lines of `cache-cli` to copy into a shell. */

const show = (id) => ` ${id.startsWith('-') ? '-- ' : ''}${quote(id)}`

export function getCommand(id) {
  return `cache-cli get${show(id)}`
}

export function deviceErrorsCommand(id) {
  return `cache-cli errors list --device=${quote(id)}`
}

/** @param deadLetter as a worker reports it: the coordinates are those of the record */
export function deadLetterCommands({ partition, offset }) {
  if (!/^\d+$/.test(offset)) return undefined
  const source = `--source ${Number(partition)}:${offset}`
  return {
    record: `cache-cli explain --partition ${Number(partition)} --offset ${offset}`,
    list: `cache-cli errors list ${source}`,
    replay: `cache-cli errors replay ${source}`,
  }
}

/** Without the reason, all would be replayed. */
export function replayReasonCommand(reason) {
  return /^[a-z0-9_]+$/.test(reason) ? `cache-cli errors replay --reason ${reason} --dry-run` : undefined
}

/** For a POSIX shell. */
function quote(text) {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
