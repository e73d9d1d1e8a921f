// The client for Watchword. The process has only one client, so requests with the same refresh token share one
// refresh.
import { createServerAuth } from '@watchword/client/server'
import { Verifier } from '@watchword/verify'
import { env } from '$env/dynamic/private'

export const watchwordUrl = env.WATCHWORD_URL ?? 'http://localhost:8080'
/** adapter-node also reads the application's address from ORIGIN. */
export const origin = env.ORIGIN ?? 'http://localhost:3000'

export const authFor = createServerAuth({ baseUrl: watchwordUrl, origin, verifier: new Verifier(watchwordUrl) })
