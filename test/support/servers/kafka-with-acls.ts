import kafkajs, { type AclEntry } from 'kafkajs'
import { startOwnKafka, type OwnKafka, type OwnKafkaOptions } from './native-kafka.ts'

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs

/** A broker that denies the user `alice` all that no ACL allows. `internalBrokers` needs no login, and may do everything. */
export async function startKafkaWithAcls(properties: OwnKafkaOptions['properties'] = {}): Promise<OwnKafka> {
  return await startOwnKafka({
    security: 'sasl_plain',
    properties: {
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      // The internal listener of the tests, and the broker itself.
      'super.users': 'User:ANONYMOUS',
      ...properties,
    },
  })
}

/** For a scenario whose workers log in as `alice`. The scenario itself uses the internal listener. */
export function workersAsAlice(kafka: OwnKafka) {
  return {
    kafka: { brokers: kafka.internalBrokers },
    env: {
      KAFKA_BOOTSTRAP_SERVERS: kafka.brokers.join(),
      KAFKA_SASL_MECHANISM: 'plain',
      KAFKA_SASL_USERNAME: 'alice',
      KAFKA_SASL_PASSWORD: 'alice-secret',
    },
  }
}

/** The permission for `alice`, to create or to delete. */
export function aclOfAlice(
  resource: 'TOPIC' | 'GROUP',
  name: string,
  operation: 'READ' | 'WRITE',
  isPrefixed = false,
): AclEntry {
  return {
    resourceType: AclResourceTypes[resource],
    resourceName: name,
    resourcePatternType: isPrefixed ? ResourcePatternTypes.PREFIXED : ResourcePatternTypes.LITERAL,
    principal: 'User:alice',
    host: '*',
    operation: AclOperationTypes[operation],
    permissionType: AclPermissionTypes.ALLOW,
  }
}
