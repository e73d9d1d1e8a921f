import { createClient } from '@watchword/client'
import { createProviders } from '@watchword/client/providers'

export const serverURL: string = import.meta.env.VITE_WATCHWORD_URL ?? 'http://localhost:8080'

// One client for the page, outside of React, because components can be created repeatedly.
export const client = createClient({ baseUrl: serverURL })

// Created when the page loads, because in a provider's popup it reports to the page that opened the popup.
export const providers = createProviders(client)
