-- Sets each device hash to the maximum of what it holds and an update, for many devices in one call, and adds the devices
-- to the index. Optionally advances the progress of a partition afterwards.
--
-- KEYS: device hashes (`device:<id>:metadata`), each at most once; the device index, and optionally the progress hash, unless they
--       are on other servers than the hashes.
-- ARGV[1]: JSON, one entry per device: [expiry (ms since 1970; 0: none), last_updated, name, value, name, value, ...],
--          sorted by the bytes of the names, without last_updated.
-- ARGV[2]: a stored last_updated later than this is not trusted and counts as older than anything.
-- With the progress hash:
-- ARGV[3..5]: partition, the offset that must be stored ('': none), the next offset.
-- ARGV[6], [7]: the mark that the call before this one has left ('': this is the first one of the chunk), and the mark that this one
--          leaves ('': it is the last one, and advances the progress). So the progress advances only if this server, with this
--          history, has executed every call of the chunk; it is never moved back.
-- Returns { statuses, advanced }. One status per device: 0 stale, 1 unchanged, 2 changed, 3 expired (it is not kept), or the
-- text of an error that concerns only that key, such as that another server owns it. advanced: 1 if the progress was advanced, which
-- needs devices without an error in all calls, else 0.
-- Any other error is returned immediately, before anything is written to that key.
--
-- For each key: compare, HSET of the fields that differ (the only command that can fail: OOM, READONLY), HDEL of the
-- fields that the update lacks, expiry. The order is that of core/records/order.ts. A hash and its id in the index are
-- written by the same call, so that a crash does not leave one without the other. Hashes that another program wrote, and
-- an index that lacks ids, are noticed.

local STALE, UNCHANGED, CHANGED, EXPIRED = 0, 1, 2, 3
local SHAPE = '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%d%+00:00$'
local MAX_UNPACKED = 7000
local call, pcall = redis.call, redis.pcall

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

-- If the hash has the fields of the update in the same order, which is usual for a device that reports again: the pairs
-- to write, last_updated first. Otherwise nil.
local function changed_values(stored, update)
  if #stored ~= #update or stored[1] ~= 'last_updated' then return nil end
  local changes = { 'last_updated', update[2] }
  for i = 3, #update, 2 do
    if stored[i] ~= update[i] then return nil end
    if stored[i + 1] ~= update[i + 1] then
      changes[#changes + 1] = update[i]
      changes[#changes + 1] = update[i + 1]
    end
  end
  return changes
end

-- The pairs to write, last_updated first, and the names of the fields that the update lacks.
local function differences(stored, update)
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
  local names = {}
  for name in pairs(unwanted) do names[#names + 1] = name end
  return changes, names
end

-- Returns the reply of HSET.
local function replace(key, stored, update)
  if #stored == 0 then return pcall('HSET', key, 'last_updated', unpack(update, 2)) end
  local changes, unwanted = changed_values(stored, update), {}
  if changes == nil then changes, unwanted = differences(stored, update) end
  local written = pcall('HSET', key, unpack(changes))
  if type(written) == 'table' then return written end
  for from = 1, #unwanted, MAX_UNPACKED do
    call('HDEL', key, unpack(unwanted, from, math.min(from + MAX_UNPACKED - 1, #unwanted)))
  end
  return written
end

-- Returns how many of the ids were missing in the index.
local function add_to_index(index, ids)
  local missing = 0
  for from = 1, #ids, MAX_UNPACKED do
    missing = missing + call('SADD', index, unpack(ids, from, math.min(from + MAX_UNPACKED - 1, #ids)))
  end
  return missing
end

-- Moves the expiry later, never earlier. A hash without an expiry gets one. Returns false if the hash is gone: an expiry
-- that has passed deletes it.
local function extend_expiry(key, expiry, is_new)
  if expiry == 0 then
    if not is_new then call('PERSIST', key) end
    return true
  end
  if not is_new and (call('PEXPIREAT', key, expiry, 'GT') == 1 or call('PTTL', key) ~= -1) then return true end
  call('PEXPIREAT', key, expiry)
  return call('EXISTS', key) == 1
end

local updates = cjson.decode(ARGV[1])
local trusted_up_to = ARGV[2]
local index, progress = KEYS[#updates + 1], KEYS[#updates + 2]
local statuses, refused = {}, false
-- Ids that may be missing in the index, and ids that are in it unless another program has removed them.
local new_ids, known_ids = {}, {}

for i = 1, #updates do
  local key, update = KEYS[i], updates[i]
  local last_updated = update[2]
  local stored = pcall('HGETALL', key)
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
    if not extend_expiry(key, update[1], #stored == 0) then
      status = EXPIRED
    elseif stored[1] == 'last_updated' then
      known_ids[#known_ids + 1] = string.sub(key, 8, -10)
    else
      new_ids[#new_ids + 1] = string.sub(key, 8, -10)
    end
  elseif string.sub(status, 1, 9) ~= 'WRONGTYPE' and not string.find(status, 'non local key', 1, true) then
    return redis.error_reply(status)
  else
    refused = true
  end
  statuses[i] = status
end

if index == nil then return { statuses, 0 } end

-- Adding an id that is there costs as much as a small write. So of the known ones a few are added, and only if one of
-- them was missing the others as well.
add_to_index(index, new_ids)
local sample = { known_ids[1], known_ids[math.ceil(#known_ids / 2)], known_ids[#known_ids] }
if add_to_index(index, sample) > 0 then add_to_index(index, known_ids) end

if progress == nil or refused then return { statuses, 0 } end
local partition, expected, next_offset, mark_before, mark_after = unpack(ARGV, 3, 7)
local mark = partition .. ':part'
local found = call('HMGET', progress, partition, mark)
if (found[1] or '') ~= expected then return { statuses, 0 } end
if mark_before ~= '' and found[2] ~= mark_before then return { statuses, 0 } end
if mark_after ~= '' then
  call('HSET', progress, mark, mark_after)
  return { statuses, 0 }
end
if mark_before ~= '' then call('HDEL', progress, mark) end
if expected == '' or tonumber(next_offset) > tonumber(expected) then
  call('HSET', progress, partition, next_offset)
end
return { statuses, 1 }
