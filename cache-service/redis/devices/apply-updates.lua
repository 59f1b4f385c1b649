-- Sets each device hash to the maximum of what it holds and an update, for many devices in one call.
--
-- KEYS: device hashes, each at most once.
-- ARGV[1]: JSON, one entry per key: [expiry (ms since 1970; 0: none), last_updated, name, value, name, value, ...],
--          sorted by the bytes of the names, without last_updated.
-- ARGV[2]: a stored last_updated later than this is not trusted and counts as older than anything.
-- Returns one status per key: 0 stale, 1 unchanged, 2 changed, or the text of an error that concerns only that key.
-- Any other error is returned immediately, before anything is written to that key.
--
-- For each key: compare, HSET (the only command that can fail: OOM, READONLY), HDEL of the fields that the update
-- lacks, expiry. The order is that of core/records/order.ts.

local STALE, UNCHANGED, CHANGED = 0, 1, 2
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
local function stored_content(key)
  local reply = redis.call('HGETALL', key)
  local names, values = {}, {}
  for i = 1, #reply, 2 do
    if reply[i] ~= 'last_updated' then
      names[#names + 1] = reply[i]
      values[reply[i]] = reply[i + 1]
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

local function delete_other_fields(key, update)
  local wanted = { last_updated = true }
  for i = 3, #update, 2 do wanted[update[i]] = true end
  local unwanted = {}
  for _, name in ipairs(redis.call('HKEYS', key)) do
    if not wanted[name] then unwanted[#unwanted + 1] = name end
  end
  for from = 1, #unwanted, MAX_UNPACKED do
    redis.call('HDEL', key, unpack(unwanted, from, math.min(from + MAX_UNPACKED - 1, #unwanted)))
  end
end

-- Moves the expiry later, never earlier. A hash without an expiry gets one.
local function extend_expiry(key, expiry)
  if expiry == 0 then
    redis.call('PERSIST', key)
  elseif redis.call('PEXPIREAT', key, expiry, 'GT') == 0 and redis.call('PTTL', key) == -1 then
    redis.call('PEXPIREAT', key, expiry)
  end
end

local updates = cjson.decode(ARGV[1])
local trusted_up_to = ARGV[2]
local statuses = {}

for i, key in ipairs(KEYS) do
  local update = updates[i]
  local expiry, last_updated = update[1], update[2]
  local stored = redis.pcall('HGET', key, 'last_updated')
  local status

  if type(stored) == 'table' then
    status = stored.err
  elseif stored and string.find(stored, SHAPE) and stored <= trusted_up_to then
    if stored > last_updated then
      status = STALE
    elseif stored == last_updated then
      local order = compare_contents({ unpack(update, 3) }, stored_content(key))
      if order < 0 then status = STALE elseif order == 0 then status = UNCHANGED end
    end
  end

  if status == nil then
    local written = redis.pcall('HSET', key, 'last_updated', last_updated, unpack(update, 3))
    if type(written) == 'table' then
      status = written.err
    else
      status = CHANGED
      local fields = #update / 2
      if redis.call('HLEN', key) > fields then delete_other_fields(key, update) end
      extend_expiry(key, expiry)
    end
  elseif type(status) == 'number' then
    extend_expiry(key, expiry)
  end

  if type(status) == 'string' and string.sub(status, 1, 9) ~= 'WRONGTYPE' then
    return redis.error_reply(status)
  end
  statuses[i] = status
end

return statuses
