-- Finds the device hashes that do not exist.
--
-- KEYS: device hashes.
-- Returns one reply per key: 1 it does not exist, 0 it exists, or the text of an error that concerns only that key, such as that
-- another server owns it.

local absent = {}
for i, key in ipairs(KEYS) do
  local existing = redis.pcall('EXISTS', key)
  absent[i] = type(existing) == 'table' and existing.err or 1 - existing
end
return absent
