-- Applies tombstones to many devices in one call, and removes the devices that no longer exist from the index.
--
-- KEYS: device hashes (`device:<id>:metadata`), each at most once; the device index, unless it is on another server.
-- ARGV[1]: JSON, one entry per device: the latest last_updated that the tombstone deletes.
-- ARGV[2]: a stored last_updated later than this is not trusted and counts as older than anything.
-- Returns one status per device: 0 kept (its last_updated is later), 1 absent, 2 deleted, or the text of an error that
-- concerns only that key, such as that another server owns it.

local SHAPE = '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%d%+00:00$'
local KEPT, ABSENT, DELETED = 0, 1, 2
local MAX_UNPACKED = 7000

local deletes_up_to = cjson.decode(ARGV[1])
local trusted_up_to = ARGV[2]
local statuses, ids = {}, {}

for i, up_to in ipairs(deletes_up_to) do
  local key = KEYS[i]
  local stored = redis.pcall('HGET', key, 'last_updated')
  if type(stored) == 'table' then
    local concerns_key = string.sub(stored.err, 1, 9) == 'WRONGTYPE' or string.find(stored.err, 'non local key', 1, true)
    if not concerns_key then return redis.error_reply(stored.err) end
    statuses[i] = stored.err
  elseif stored and string.find(stored, SHAPE) and stored <= trusted_up_to and stored > up_to then
    statuses[i] = KEPT
  else
    local deleted = redis.pcall('DEL', key)
    if type(deleted) == 'table' then return redis.error_reply(deleted.err) end
    statuses[i] = deleted == 1 and DELETED or ABSENT
    ids[#ids + 1] = string.sub(key, 8, -10)
  end
end

local index = KEYS[#deletes_up_to + 1]
if index == nil then return statuses end
for from = 1, #ids, MAX_UNPACKED do
  redis.call('SREM', index, unpack(ids, from, math.min(from + MAX_UNPACKED - 1, #ids)))
end

return statuses
