import { html, nothing } from './vendor/lit-html/lit-html.js'
import { ago, clockTime, localTime } from './time.js'

/** A time that was, with how long ago it was. */
export function when(time, nowMs) {
  if (time === null || time === undefined) return '–'
  return html`<time datetime=${time} title=${localTime(time)}>${ago(time, nowMs)}</time>`
}

/** A line for the shell, with a button that copies it. */
export function command(line, { copied, copy }, label = '') {
  return html`
    <span class="command">
      ${label === '' ? nothing : html`<span class="hint">${label}</span>`}
      <code>${line}</code>
      <button type="button" class="quiet small" aria-label=${`Copy ${line}`} @click=${() => copy(line)}>
        ${copied() === line ? 'Copied' : 'Copy'}
      </button>
    </span>
  `
}

/** Why there is nothing to show, or nothing newer. */
export function sourceNotice(what, { data, error, atMs }, nowMs, retry) {
  if (error !== undefined && data === undefined)
    return html`
      <div class="notice" role="alert">
        <p>${what} could not be loaded. ${error.message}</p>
        <button type="button" @click=${retry}>Try again</button>
      </div>
    `
  if (error !== undefined)
    return html`<p class="hint stale-hint">Last loaded at ${clockTime(atMs, nowMs)}. ${error.message}</p>`
  return data === undefined ? html`<p class="empty">Loading…</p>` : nothing
}

/** Browsers allow the clipboard API only on https and localhost; elsewhere execCommand still works. */
export function createCopier({ announce, changed }) {
  let last
  return {
    copied: () => last,
    async copy(text) {
      const done = await toClipboard(text)
      last = done ? text : undefined
      announce(done ? 'Copied' : 'The browser does not allow copying')
      changed()
    },
  }
}

async function toClipboard(value) {
  if (navigator.clipboard !== undefined) {
    try {
      await navigator.clipboard.writeText(value)
      return true
    } catch {
      // Not allowed: fall back to execCommand.
    }
  }
  const field = document.createElement('textarea')
  field.value = value
  field.className = 'hidden'
  document.body.append(field)
  const focused = document.activeElement
  field.select()
  const done = document.execCommand('copy')
  field.remove()
  focused?.focus()
  return done
}
