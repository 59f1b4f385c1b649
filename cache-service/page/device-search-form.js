import { html } from './vendor/lit-html/lit-html.js'
import { span } from './time.js'

const SILENCES_S = [60, 300, 900, 3_600, 6 * 3_600, 86_400, 7 * 86_400]
const MAX_SUGGESTIONS = 200

/** @param search called with the conditions */
export function deviceSearchForm({ query, types }, search) {
  const submit = (event) => {
    event.preventDefault()
    search(conditionsIn(event.currentTarget))
  }
  const submitChange = (event) => event.currentTarget.form.requestSubmit()
  const names = distinct(types.map(({ datatype_id: id, datatype_name: name }) => name ?? id))
  const units = distinct(types.flatMap(({ datatype_unit: unit }) => unitsOf(unit)))
  const silences = distinct([...SILENCES_S, query.silentFor]).toSorted((a, b) => a - b)
  return html`
    <form class="search device-search" role="search" @submit=${submit}>
      <label>
        Id contains
        <input
          name="id_part"
          type="search"
          autocomplete="off"
          spellcheck="false"
          maxlength="256"
          .value=${query.contains}
          @change=${submitChange}
        />
      </label>
      ${suggested('Type', { name: 'type', value: query.type, list: 'device-types', submitChange })}
      ${suggested('Unit', { name: 'unit', value: query.unit, list: 'device-units', submitChange })}
      <label>
        Silent for
        <select name="silent_for" @change=${submitChange}>
          <option value="" .selected=${query.silentFor === undefined}>any time</option>
          ${silences.map(
            (seconds) =>
              html`<option value=${seconds} .selected=${seconds === query.silentFor}>
                ${span(seconds)} or longer
              </option>`,
          )}
        </select>
      </label>
      <button type="submit">Search</button>
      <datalist id="device-types">${names.map((name) => html`<option value=${name}></option>`)}</datalist>
      <datalist id="device-units">${units.map((unit) => html`<option value=${unit}></option>`)}</datalist>
    </form>
  `
}

function suggested(title, { name, value, list, submitChange }) {
  return html`
    <label>
      ${title}
      <input
        name=${name}
        type="search"
        autocomplete="off"
        list=${list}
        placeholder="any"
        maxlength="1024"
        .value=${value ?? ''}
        @change=${submitChange}
      />
    </label>
  `
}

function conditionsIn(form) {
  const data = new FormData(form)
  const given = (name) => (data.get(name) === '' ? undefined : data.get(name))
  const silentFor = given('silent_for')
  return {
    contains: data.get('id_part'),
    type: given('type'),
    unit: given('unit'),
    silentFor: silentFor === undefined ? undefined : Number(silentFor),
  }
}

function distinct(values) {
  return [...new Set(values)]
    .filter((value) => value !== null && value !== undefined && value !== '')
    .slice(0, MAX_SUGGESTIONS)
}

/** A list of units counts as its members. */
function unitsOf(unit) {
  if (unit === null || !unit.startsWith('[')) return [unit]
  try {
    return JSON.parse(unit).filter((member) => typeof member === 'string')
  } catch {
    return [unit]
  }
}
