import { redisError } from '../../shared/errors.ts'

/** What Redis answers. Rejects with a ServiceError. */
export async function answered<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw redisError(error)
  }
}
