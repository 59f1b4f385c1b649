import type { Redis } from 'ioredis'
import { z } from 'zod'
import { RedisOperationError } from './errors.ts'

/** The current state of a config in Redis: the newest value as JSON (null: no config), and the number of versions. */
export type ConfigSnapshot = { readonly text: string | null; readonly version: number }

export type AppendOutcome =
  | { readonly kind: 'appended'; readonly snapshot: ConfigSnapshot }
  | { readonly kind: 'unchanged'; readonly snapshot: ConfigSnapshot }
  | { readonly kind: 'conflict'; readonly actualVersion: number }

/**
 * The oldest entry of a list whose oldest versions were removed: how many. It keeps the version that Python and we count by
 * the length of the list, lives and dies with the list, and is JSON like every entry.
 */
const REMOVED = '{"__removed_versions__":'

// A config is a list of JSON texts with the newest at the end, or a plain string, which counts as version 1.
const NEWEST = `
local kind = redis.call('TYPE', KEYS[1]).ok
local version, newest, removed = 0, false, 0
local has_removed = false
if kind == 'string' then
  version, newest = 1, redis.call('GET', KEYS[1])
elseif kind == 'list' then
  version, newest = redis.call('LLEN', KEYS[1]), redis.call('LINDEX', KEYS[1], -1)
  local count = string.match(redis.call('LINDEX', KEYS[1], 0), '^${REMOVED}(%d+)}$')
  if count then
    has_removed, removed = true, tonumber(count)
    newest = version > 1 and newest
    version = version - 1 + removed
  end
elseif kind ~= 'none' then
  return redis.error_reply('WRONGTYPE a ' .. kind .. ' is not a config')
end
`

const READ = `${NEWEST}return { 'read', version, newest }`

// One script, because an update may turn a string into a list between two commands.
const READ_HISTORY = `${NEWEST}
if kind == 'string' then return { 0, { newest } } end
if kind == 'none' then return { 0, {} } end
return { removed, redis.call('LRANGE', KEYS[1], has_removed and 1 or 0, -1) }
`

// ARGV: the new value as JSON; the version that the config must have ('': any); how many versions are kept.
// Values are compared as JSON, ignoring the order of fields, spaces and escapes. cjson decodes [] and {} to the same
// value, so before decoding, every empty array gets an element that no real array contains.
const APPEND = String.raw`${NEWEST}
local function mark_empty_arrays(text)
  local parts, from = {}, 1
  while true do
    local quote = string.find(text, '"', from, true) or #text + 1
    parts[#parts + 1] = string.gsub(string.sub(text, from, quote - 1), '%[%s*%]', '["\\u0000[]"]')
    if quote > #text then return table.concat(parts) end
    local closing = string.find(text, '["\\]', quote + 1)
    while closing and string.sub(text, closing, closing) == '\\' do
      closing = string.find(text, '["\\]', closing + 2)
    end
    from = (closing or #text) + 1
    parts[#parts + 1] = string.sub(text, quote, from - 1)
  end
end

local function is_equal(a, b)
  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end
  for name, value in pairs(a) do
    if not is_equal(value, b[name]) then return false end
  end
  for name in pairs(b) do
    if a[name] == nil then return false end
  end
  return true
end

local function is_same_json(a, b)
  if a == b then return true end
  local a_reads, a_value = pcall(cjson.decode, mark_empty_arrays(a))
  local b_reads, b_value = pcall(cjson.decode, mark_empty_arrays(b))
  return a_reads and b_reads and is_equal(a_value, b_value)
end

if ARGV[2] ~= '' and tonumber(ARGV[2]) ~= version then return { 'conflict', version, false } end
if newest and is_same_json(newest, ARGV[1]) then return { 'unchanged', version, newest } end
if kind == 'string' then
  redis.call('DEL', KEYS[1])
  redis.call('RPUSH', KEYS[1], newest, ARGV[1])
else
  redis.call('RPUSH', KEYS[1], ARGV[1])
end
local excess = redis.call('LLEN', KEYS[1]) - (ARGV[3] + 1)
if excess > 0 then redis.call('LTRIM', KEYS[1], excess, -1) end
if excess > 0 or (excess == 0 and not has_removed) then
  local gone = has_removed and removed + excess or excess + 1
  redis.call('LSET', KEYS[1], 0, '${REMOVED}' .. string.format('%d', gone) .. '}')
end
return { 'appended', version + 1, ARGV[1] }
`

const replySchema = z.tuple([
  z.enum(['read', 'appended', 'unchanged', 'conflict']),
  z.int().nonnegative(),
  z.string().nullable(),
])
const historySchema = z.tuple([z.int().nonnegative(), z.array(z.string())])

/** @throws RedisOperationError if the reply is unexpected; otherwise what ioredis throws. */
export async function readConfig(redis: Redis, key: string): Promise<ConfigSnapshot> {
  const [, version, text] = parseReply(replySchema, await redis.eval(READ, 1, key))
  return { text, version }
}

/**
 * Appends to the history in one atomic step, unless the newest value is equal.
 *
 * @param expectedVersion undefined: any version.
 * @param maxVersions number of versions to keep; older ones are removed.
 * @throws RedisOperationError if the reply is unexpected; otherwise what ioredis throws.
 */
export async function appendConfig(
  redis: Redis,
  key: string,
  json: string,
  expectedVersion: number | undefined,
  maxVersions: number,
): Promise<AppendOutcome> {
  const reply = await redis.eval(APPEND, 1, key, json, expectedVersion ?? '', maxVersions)
  const [kind, version, text] = parseReply(replySchema, reply)
  switch (kind) {
    case 'conflict':
      return { kind, actualVersion: version }
    case 'appended':
    case 'unchanged':
      return { kind, snapshot: { text, version } }
    case 'read':
      throw new RedisOperationError('The script returned the reply of another script')
  }
}

/** A version of a config: its number, and its value as JSON. */
export type ConfigVersion = { readonly version: number; readonly text: string }

/** The versions that are kept, oldest first. Throws like readConfig. */
export async function readHistory(redis: Redis, key: string): Promise<ConfigVersion[]> {
  const [removed, texts] = parseReply(historySchema, await redis.eval(READ_HISTORY, 1, key))
  return texts.map((text, i) => ({ version: removed + i + 1, text }))
}

function parseReply<T>(schema: z.ZodType<T>, returned: unknown): T {
  const result = schema.safeParse(returned)
  if (result.success) return result.data
  throw new RedisOperationError('The script returned an unexpected reply', { cause: result.error })
}
