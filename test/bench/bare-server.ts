// `bare-server.ts <http|fastify> <port>`: a server that does nothing but answer every request with the same device: what Node.js and
// the framework cost by themselves.
import { createServer } from 'node:http'
import { fastify } from 'fastify'

const DEVICE =
  '{"device_id":"device-000001","datatype_id":"dt-1","datatype_name":"Temperature and humidity 1","datatype_unit":["°C","%"],"persist":[true,false],"last_updated":"2025-06-08T18:27:17.476623+00:00","extra":{},"ttl":86400}'
const TYPE = 'application/json; charset=utf-8'

const [, , kind, port] = process.argv
if (kind === 'fastify') {
  const server = fastify()
  server.get('/api/devices/:id', async (_request, reply) => await reply.type(TYPE).send(DEVICE))
  await server.listen({ port: Number(port), host: '127.0.0.1' })
} else {
  const headers = { 'content-type': TYPE, 'content-length': Buffer.byteLength(DEVICE) }
  createServer((_request, response) => response.writeHead(200, headers).end(DEVICE)).listen(
    Number(port),
    '127.0.0.1',
  )
}
