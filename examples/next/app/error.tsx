"use client"

import { useRouter } from "next/navigation"
import { startTransition } from "react"

/** The page for all errors, for example if Watchword does not respond. It can't know whether a user is signed in. */
export default function ErrorPage({ reset }: { reset: () => void }) {
  const router = useRouter()
  const retry = () =>
    startTransition(() => {
      router.refresh()
      reset()
    })
  return (
    <>
      <h1>This page can't be shown right now</h1>
      <p>Try again in a moment.</p>
      <button onClick={retry}>Try again</button>
    </>
  )
}
