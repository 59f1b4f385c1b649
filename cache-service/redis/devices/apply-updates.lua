-- Sets each device hash to the maximum of what it holds and an update, for many devices in one call, and adds the devices
-- to the index. Optionally advances the progress of a partition afterwards.
--
-- KEYS: device hashes (`device:<id>:metadata`), each at most once; the device index; optionally the progress hash.
-- ARGV[1]: JSON, one entry per device: [expiry (ms since 1970; 0: none), last_updated, name, value, name, value, ...],
--          sorted by the bytes of the names, without last_updated.
-- ARGV[2]: a stored last_updated later than this is not trusted and counts as older than anything.
-- ARGV[3..5], with the progress hash: partition, the offset that must be stored ('': none), the next offset.
-- Returns { statuses, advanced }. One status per device: 0 stale, 1 unchanged, 2 changed, 3 expired (it is not kept), or the
-- text of an error that concerns only that key. advanced: 1 if the progress was advanced, which needs devices without an error, else 0.
-- Any other error is returned immediately, before anything is written to that key.
--
-- For each key: compare, HSET of the fields that differ (the only command that can fail: OOM, READONLY), HDEL of the
-- fields that the update lacks, expiry. The order is that of core/records/order.ts. A hash and its id in the index are
-- written by the same call, so that a crash does not leave one without the other; a hash that was not changed is added
-- as well, in case another program wrote it.

local STALE, UNCHANGED, CHANGED, EXPIRED = 0, 1, 2, 3
local SHAPE = '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%d%+00:00$'
local MAX_UNPACKED = 7000

-- a < b by bytes: Lua's own < depends on the server's locale.
local function bytes_less(a, b)
  local shorter = math.min(#a, #b)
  for from = 1, shorter, 64 do
    local to = math.min(from + 63, shorter)
    if a:sub(from, to) ~= b:sub(from, to) then
      for i = from, to do
        local x, y = a:byte(i), b:byte(i)
        if x ~= y then return x < y end
      end
    end
  end
  return #a < #b
end

local function same_list(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

-- The content of a hash in the form of an update: name, value, ..., sorted by the bytes of the names, without
-- last_updated.
local function sorted_content(stored)
  local names, values = {}, {}
  for i = 1, #stored, 2 do
    if stored[i] ~= 'last_updated' then
      names[#names + 1] = stored[i]
      values[stored[i]] = stored[i + 1]
    end
  end
  table.sort(names, bytes_less)
  local content = {}
  for _, name in ipairs(names) do
    content[#content + 1] = name
    content[#content + 1] = values[name]
  end
  return content
end

-- Returns -1, 0 or 1. The canonical bytes decide. Different contents can have equal bytes (a value may contain \0); then
-- the first element that differs decides.
local function compare_contents(a, b)
  if same_list(a, b) then return 0 end
  local x, y = table.concat(a, '\0') .. '\0', table.concat(b, '\0') .. '\0'
  if #a == 0 then x = '' end
  if #b == 0 then y = '' end
  if x ~= y then return bytes_less(x, y) and -1 or 1 end
  for i = 1, math.min(#a, #b) do
    if a[i] ~= b[i] then return bytes_less(a[i], b[i]) and -1 or 1 end
  end
  return #a < #b and -1 or 1
end

local function stored_last_updated(stored)
  if stored[1] == 'last_updated' then return stored[2] end
  for i = 3, #stored, 2 do
    if stored[i] == 'last_updated' then return stored[i + 1] end
  end
  return nil
end

-- last_updated is the only difference, and the fields are in the same order: what is usual for a device that reports
-- again.
local function differs_only_in_time(stored, update)
  if #stored ~= #update or stored[1] ~= 'last_updated' then return false end
  for i = 3, #update do
    if stored[i] ~= update[i] then return false end
  end
  return true
end

-- Returns the reply of HSET.
local function replace(key, stored, update)
  if #stored == 0 then return redis.pcall('HSET', key, 'last_updated', unpack(update, 2)) end
  if differs_only_in_time(stored, update) then return redis.pcall('HSET', key, 'last_updated', update[2]) end
  local unwanted = {}
  for i = 1, #stored, 2 do unwanted[stored[i]] = stored[i + 1] end
  unwanted.last_updated = nil
  local changes = { 'last_updated', update[2] }
  for i = 3, #update, 2 do
    local name, value = update[i], update[i + 1]
    if unwanted[name] ~= value then
      changes[#changes + 1] = name
      changes[#changes + 1] = value
    end
    unwanted[name] = nil
  end
  local written = redis.pcall('HSET', key, unpack(changes))
  if type(written) == 'table' then return written end
  local names = {}
  for name in pairs(unwanted) do names[#names + 1] = name end
  for from = 1, #names, MAX_UNPACKED do
    redis.call('HDEL', key, unpack(names, from, math.min(from + MAX_UNPACKED - 1, #names)))
  end
  return written
end

-- Moves the expiry later, never earlier. A hash without an expiry gets one. Returns false if the hash is gone: an expiry
-- that has passed deletes it.
local function extend_expiry(key, expiry, is_new)
  if expiry == 0 then
    if not is_new then redis.call('PERSIST', key) end
    return true
  end
  if not is_new and (redis.call('PEXPIREAT', key, expiry, 'GT') == 1 or redis.call('PTTL', key) ~= -1) then
    return true
  end
  redis.call('PEXPIREAT', key, expiry)
  return redis.call('EXISTS', key) == 1
end

local updates = cjson.decode(ARGV[1])
local trusted_up_to = ARGV[2]
local index, progress = KEYS[#updates + 1], KEYS[#updates + 2]
local statuses, ids, refused = {}, {}, false

for i, update in ipairs(updates) do
  local key, expiry, last_updated = KEYS[i], update[1], update[2]
  local stored = redis.pcall('HGETALL', key)
  local status = stored.err

  if status == nil then
    local time = stored_last_updated(stored)
    -- An earlier time loses, whatever its shape.
    if time and time >= last_updated and time <= trusted_up_to and string.find(time, SHAPE) then
      if time > last_updated then
        status = STALE
      else
        local order = compare_contents({ unpack(update, 3) }, sorted_content(stored))
        if order < 0 then status = STALE elseif order == 0 then status = UNCHANGED end
      end
    end
  end

  if status == nil then
    local written = replace(key, stored, update)
    status = type(written) == 'table' and written.err or CHANGED
  end

  if type(status) == 'number' then
    if extend_expiry(key, expiry, #stored == 0) then
      ids[#ids + 1] = string.sub(key, 8, -10)
    else
      status = EXPIRED
    end
  elseif string.sub(status, 1, 9) ~= 'WRONGTYPE' then
    return redis.error_reply(status)
  else
    refused = true
  end
  statuses[i] = status
end

for from = 1, #ids, MAX_UNPACKED do
  redis.call('SADD', index, unpack(ids, from, math.min(from + MAX_UNPACKED - 1, #ids)))
end

if progress == nil or refused then return { statuses, 0 } end
local reached = redis.call('HGET', progress, ARGV[3]) or ''
if reached ~= ARGV[4] then return { statuses, 0 } end
if reached == '' or tonumber(ARGV[5]) > tonumber(reached) then redis.call('HSET', progress, ARGV[3], ARGV[5]) end
return { statuses, 1 }
