-- Applies tombstones to many devices in one call.
--
-- KEYS: device hashes, each at most once.
-- ARGV[1]: JSON, one entry a key: the latest last_updated that is still to be deleted.
-- ARGV[2]: a stored last_updated above this is not believed, and so is older than anything.
-- Returns one status a key: 0 kept (it is later), 1 absent, 2 deleted, or the text of an error that concerns
-- that key alone.

local SHAPE = '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%d%+00:00$'
local KEPT, ABSENT, DELETED = 0, 1, 2

local deletes_up_to = cjson.decode(ARGV[1])
local believed_up_to = ARGV[2]
local statuses = {}

for i, key in ipairs(KEYS) do
  local stored = redis.pcall('HGET', key, 'last_updated')
  if type(stored) == 'table' then
    if string.sub(stored.err, 1, 9) ~= 'WRONGTYPE' then return redis.error_reply(stored.err) end
    statuses[i] = stored.err
  elseif stored and string.find(stored, SHAPE) and stored <= believed_up_to and stored > deletes_up_to[i] then
    statuses[i] = KEPT
  else
    local deleted = redis.pcall('DEL', key)
    if type(deleted) == 'table' then return redis.error_reply(deleted.err) end
    statuses[i] = deleted == 1 and DELETED or ABSENT
  end
end

return statuses
