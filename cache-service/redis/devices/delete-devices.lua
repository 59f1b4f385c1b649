-- Applies tombstones to many devices in one call.
--
-- KEYS: device hashes, each at most once.
-- ARGV[1]: JSON, one entry per key: the latest last_updated that the tombstone deletes.
-- ARGV[2]: a stored last_updated later than this is not trusted and counts as older than anything.
-- Returns one status per key: 0 kept (its last_updated is later), 1 absent, 2 deleted, or the text of an error that
-- concerns only that key.

local SHAPE = '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%d%+00:00$'
local KEPT, ABSENT, DELETED = 0, 1, 2

local deletes_up_to = cjson.decode(ARGV[1])
local trusted_up_to = ARGV[2]
local statuses = {}

for i, key in ipairs(KEYS) do
  local stored = redis.pcall('HGET', key, 'last_updated')
  if type(stored) == 'table' then
    if string.sub(stored.err, 1, 9) ~= 'WRONGTYPE' then return redis.error_reply(stored.err) end
    statuses[i] = stored.err
  elseif stored and string.find(stored, SHAPE) and stored <= trusted_up_to and stored > deletes_up_to[i] then
    statuses[i] = KEPT
  else
    local deleted = redis.pcall('DEL', key)
    if type(deleted) == 'table' then return redis.error_reply(deleted.err) end
    statuses[i] = deleted == 1 and DELETED or ABSENT
  end
end

return statuses
