import { createClient } from '@watchword/client'

export const serverURL: string = import.meta.env.VITE_WATCHWORD_URL ?? 'http://localhost:8080'

// One for the whole page, and outside of React: components come and go.
export const client = createClient({ baseUrl: serverURL })
