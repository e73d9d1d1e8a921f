import { createClient } from '@watchword/client'
import { createProviders } from '@watchword/client/providers'

export const serverURL: string = import.meta.env.VITE_WATCHWORD_URL ?? 'http://localhost:8080'

// The page has one client, outside of React, because React can create components repeatedly.
export const client = createClient({ baseUrl: serverURL })

// This module runs when the page loads. If the page was opened as the popup of a provider's sign-in, createProviders
// reports the result to the page that opened the popup.
export const providers = createProviders(client)
