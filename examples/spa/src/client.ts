import { createClient } from '@watchword/client'
import { createProviders } from '@watchword/client/providers'

export const serverURL: string = import.meta.env.VITE_WATCHWORD_URL ?? 'http://localhost:8080'

// One client for the page, outside of React, because components are created again and again.
export const client = createClient({ baseUrl: serverURL })

// Created when the page loads: in the popup of a provider, it reports to the page that opened the popup.
export const providers = createProviders(client)
