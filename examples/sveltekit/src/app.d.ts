import type { RequestAuth } from '@watchword/client/server'
import type { Identity } from '@watchword/verify'

declare global {
  namespace App {
    interface Locals {
      /** The session of the request. */
      auth: RequestAuth<Identity>
    }
  }
}
