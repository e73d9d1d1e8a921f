import type { Metadata } from "next"
import Link from "next/link"
import type { ReactNode } from "react"
import { auth } from "../lib/auth"
import "./style.css"

export const metadata: Metadata = { title: "Watchword and Next.js" }

export default async function Layout({ children }: { children: ReactNode }) {
  const session = await (await auth()).session()
  return (
    <html lang="en">
      <body>
        <header>
          <Link className="brand" href="/">Watchword and Next.js</Link>
          <nav>
            {session ? <Link href="/account">Account</Link> : <Link href="/sign-in">Sign in</Link>}
            {session?.roles.includes("admin") && <Link href="/admin">Administration</Link>}
          </nav>
        </header>
        <main>{children}</main>
      </body>
    </html>
  )
}
