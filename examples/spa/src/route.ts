import { useSyncExternalStore } from 'react'

// The fragment of the URL names the page. This simple router is enough for an example.

export const paths = ['sign-in', 'sign-up', 'forgot', 'account', 'sessions'] as const
export type Path = (typeof paths)[number]

const current = (): Path | undefined => paths.find((path) => location.hash === `#/${path}`)

function subscribe(changed: () => void): () => void {
  addEventListener('hashchange', changed)
  return () => removeEventListener('hashchange', changed)
}

export const useRoute = (): Path | undefined => useSyncExternalStore(subscribe, current)
