-- Reads the facts that searches compare, of many devices in one call. Types are shared by many devices, so each is sent
-- once per call: a reply of a string per field would cost the caller several times as much.
--
-- KEYS: device hashes.
-- Returns {types, rows}. types: for each type its id, name and unit, each '' if absent, otherwise with a '=' before it.
-- rows: 36 ASCII characters per key: the number of its type in four digits, and last_updated (spaces if it is absent or
-- has another shape); or 36 spaces if the hash does not exist, or 36 question marks if another server owns the key. A key of another type counts as a device without fields.

-- Redis calls cost the most time, new strings come second.

local call, pcall, find, sub, concat, format =
  redis.call, redis.pcall, string.find, string.sub, table.concat, string.format
local NO_TIME, ABSENT = string.rep(' ', 32), string.rep(' ', 36)
local NO_FIELDS = { false, false, false, false }
local ELSEWHERE = string.rep('?', 36)

-- A table that creates what is looked up in it for the first time. An absent field is false here.
local function creating(create)
  return setmetatable({}, {
    __index = function(known, field)
      local created = create(field)
      known[field] = created
      return created
    end,
  })
end

local types, count = {}, 0
local numbers = creating(function(id)
  return creating(function(name)
    return creating(function(unit)
      types[3 * count + 1] = id and '=' .. id or ''
      types[3 * count + 2] = name and '=' .. name or ''
      types[3 * count + 3] = unit and '=' .. unit or ''
      count = count + 1
      return format('%04d', count - 1)
    end)
  end)
end)

local rows, length = {}, 0
for _, key in ipairs(KEYS) do
  local fields = pcall('HMGET', key, 'datatype_id', 'datatype_name', 'datatype_unit', 'last_updated')
  local is_elsewhere = fields.err and find(fields.err, 'non local key', 1, true)
  if fields.err and not is_elsewhere then
    if sub(fields.err, 1, 9) ~= 'WRONGTYPE' then return redis.error_reply(fields.err) end
    fields = NO_FIELDS
  end
  local id, name, unit, updated = fields[1], fields[2], fields[3], fields[4]
  if is_elsewhere then
    length = length + 1
    rows[length] = ELSEWHERE
  elseif updated or id or name or unit or fields == NO_FIELDS or call('HLEN', key) > 0 then
    if not updated or #updated ~= 32 or find(updated, '[\128-\255]') then updated = NO_TIME end
    rows[length + 1], rows[length + 2] = numbers[id][name][unit], updated
    length = length + 2
  else
    length = length + 1
    rows[length] = ABSENT
  end
end
return { types, concat(rows) }
