import { useSyncExternalStore, type MouseEvent, type ReactNode } from 'react'


export function go(path: string, how: 'pushState' | 'replaceState' = 'pushState'): void {
  history[how](null, '', path)
  dispatchEvent(new PopStateEvent('popstate'))
}

function subscribe(changed: () => void): () => void {
  addEventListener('popstate', changed)
  return () => removeEventListener('popstate', changed)
}

export const usePath = (): string => useSyncExternalStore(subscribe, () => location.pathname)

export function Link({ to, children }: { to: string; children: ReactNode }) {
  function follow(event: MouseEvent) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return // opens another tab
    event.preventDefault()
    go(to)
  }
  return <a href={to} onClick={follow}>{children}</a>
}
