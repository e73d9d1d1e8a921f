import { createClient } from '@watchword/client'
import { createProviders } from '@watchword/client/providers'

export const serverURL: string = import.meta.env.VITE_WATCHWORD_URL ?? 'http://localhost:8080'

// The page has one client, outside of React, because React can create components repeatedly.
export const client = createClient({ baseUrl: serverURL })

// It is created when the page loads: in a provider's popup, it then reports to the page that opened the popup.
export const providers = createProviders(client)
