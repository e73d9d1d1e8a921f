import { createClient } from '@watchword/client'

export const serverURL: string = import.meta.env.VITE_WATCHWORD_URL ?? 'http://localhost:8080'

// One client for the page, outside of React, because components are created again and again.
export const client = createClient({ baseUrl: serverURL })
