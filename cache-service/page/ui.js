import { html, nothing } from './vendor/lit-html/lit-html.js'
import { ago, clockTime, localTime } from './time.js'

/** A time that was, with how long ago it was. */
export function when(time, nowMs) {
  if (time === null || time === undefined) return '–'
  return html`<time datetime=${time} title=${localTime(time)}>${ago(time, nowMs)}</time>`
}

/** The time of the day at which something happened. */
export function at(ms, nowMs) {
  return html`<time datetime=${new Date(ms).toISOString()}>${clockTime(ms, nowMs)}</time>`
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

/** @param remedy `{ title, action }`: a button; undefined: nothing would help */
export function failure(what, error, remedy) {
  return html`
    <div class="notice" role="alert">
      <p>${what} ${error.message}</p>
      ${remedy === undefined ? nothing : html`<button type="button" @click=${remedy.action}>${remedy.title}</button>`}
    </div>
  `
}

/** Why there is nothing to show, or nothing newer. @param source see source.js */
export function sourceNotice(what, { data, error, atMs, load }, nowMs) {
  if (error === undefined) return data === undefined ? html`<p class="empty">Loading…</p>` : nothing
  if (data !== undefined)
    return html`<p class="hint stale-hint">Last loaded at ${clockTime(atMs, nowMs)}. ${error.message}</p>`
  return failure(`${what} could not be loaded.`, error, { title: 'Try again', action: load })
}

/** A box that filters a list as people type. @param label `Id contains` @param list what has the `filter` */
export function filterBox(label, list, changed) {
  return html`
    <label>
      ${label}
      <input
        type="search"
        autocomplete="off"
        spellcheck="false"
        @input=${(event) => {
          list.filter = event.target.value
          changed()
        }}
      />
    </label>
  `
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
