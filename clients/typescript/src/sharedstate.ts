/** A state that components share through useSyncExternalStore. */
export interface SharedState<T> {
  subscribe(change: () => void): () => void
  get(): T
  /** Changes members of the state, and renders the components again. */
  set(changes: Partial<T>): void
}

/**
 * Creates a state. `start` runs when the first component mounts. It returns a function that runs after the last
 * component unmounts.
 */
export function createSharedState<T extends object>(state: T, start: () => () => void): SharedState<T> {
  const listeners = new Set<() => void>()
  let stop = (): void => {}
  return {
    subscribe(change) {
      const listener = (): void => change() // a new function, because a Set would drop a duplicate
      listeners.add(listener)
      if (listeners.size === 1) stop = start()
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0) stop()
      }
    },
    get: () => state,
    set(changes) {
      state = { ...state, ...changes }
      for (const listener of [...listeners]) listener()
    },
  }
}
