-- Reads many devices in one call, each as the JSON text that core/devices/device-view.ts would render.
--
-- KEYS: device hashes; a hash may occur twice.
-- Returns one reply per key: false if the hash does not exist; its JSON text; a list {ttl, {name, value, ...}} if the
-- values must be interpreted by a real JSON parser, which the caller has; or a list {error}.
-- ttl: seconds; -1: no expiry.
--
-- Redis calls cost the most time, pattern matching comes second. Hence HMGET with HLEN (HGETALL costs 1.5 µs more per
-- device), and cjson.encode for every string (testing first whether it needs escapes costs 0.5 µs more per string).

local call, pcall, encode, ceil, sub, find, byte, concat =
  redis.call, redis.pcall, cjson.encode, math.ceil, string.sub, string.find, string.byte, table.concat
local ID_FROM, ID_TO = #'device:' + 1, -#':metadata' - 1
local OPEN, CLOSE, COMMA = byte('['), byte(']'), byte(',')
local UNSURE = {}

-- Returns whether s is a JSON list of plain strings and booleans without spaces, as almost all lists are.
local function is_plain_list(s)
  if s == '[]' then return true end
  if byte(s) ~= OPEN then return false end
  local at = 2
  while true do
    local _, to = find(s, '^"[^%z\1-\31"\\]*"', at)
    if not to then _, to = find(s, '^true', at) end
    if not to then _, to = find(s, '^false', at) end
    if not to then return false end
    local after = byte(s, to + 1)
    if after == CLOSE then return to + 1 == #s end
    if after ~= COMMA then return false end
    at = to + 2
  end
end

-- Devices share names, types and units, so each distinct value is examined once per call. An absent field is false here.
local texts = setmetatable({ [false] = 'null' }, {
  __index = function(known, s)
    local text = encode(s)
    known[s] = text
    return text
  end,
})
local units = setmetatable({ [false] = 'null' }, {
  __index = function(known, s)
    local unit = texts[s]
    if find(s, '^[ \t\r\n]*%[') then unit = is_plain_list(s) and s or UNSURE end
    known[s] = unit
    return unit
  end,
})
local persists = setmetatable({ [false] = 'true', ['true'] = 'true', ['false'] = 'false' }, {
  __index = function(known, s)
    local persist = is_plain_list(s) and s or UNSURE
    known[s] = persist
    return persist
  end,
})
local VIEWED = { datatype_id = true, datatype_name = true, datatype_unit = true, persist = true, last_updated = true }

local function extra_of(key)
  local fields, extra = call('HGETALL', key), {}
  for i = 1, #fields, 2 do
    if not VIEWED[fields[i]] then extra[#extra + 1] = encode(fields[i]) .. ':' .. encode(fields[i + 1]) end
  end
  return concat(extra, ',')
end

local replies = {}
for i, key in ipairs(KEYS) do
  local fields = pcall('HMGET', key, 'datatype_id', 'datatype_name', 'datatype_unit', 'persist', 'last_updated')
  if fields.err then
    if sub(fields.err, 1, 9) ~= 'WRONGTYPE' and not find(fields.err, 'non local key', 1, true) then
      return redis.error_reply(fields.err)
    end
    replies[i] = { fields.err }
  else
    local id, name, unit, persist, updated = fields[1], fields[2], units[fields[3]], persists[fields[4]], fields[5]
    local pttl = call('PTTL', key)
    if pttl == -2 then
      replies[i] = false
    else
      local ttl = pttl < 0 and -1 or ceil(pttl / 1000)
      if unit == UNSURE or persist == UNSURE then
        replies[i] = { ttl, call('HGETALL', key) }
      else
        local viewed = 0
        for field = 1, 5 do
          if fields[field] then viewed = viewed + 1 end
        end
        replies[i] = '{"device_id":' .. encode(sub(key, ID_FROM, ID_TO))
          .. ',"datatype_id":' .. texts[id]
          .. ',"datatype_name":' .. texts[name]
          .. ',"datatype_unit":' .. unit
          .. ',"persist":' .. persist
          .. ',"last_updated":' .. (updated and encode(updated) or 'null')
          .. ',"extra":{' .. (call('HLEN', key) == viewed and '' or extra_of(key))
          .. '},"ttl":' .. (ttl < 0 and 'null' or ttl) .. '}'
      end
    end
  end
end
return replies
