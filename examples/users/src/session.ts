// What the page knows of its session. It is in memory only: a reload begins anew, by the cookie.
import { useSyncExternalStore } from 'react'

export type Session =
  | { status: 'unknown' } // the server has not been asked yet
  | { status: 'loggedOut'; notice?: string }
  | { status: 'loggedIn'; accessToken: string }

let current: Session = { status: 'unknown' }
const listeners = new Set<() => void>()

export const session = (): Session => current

export function change(next: Session): void {
  current = next
  for (const tell of listeners) tell()
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export const useSession = (): Session => useSyncExternalStore(subscribe, session)
