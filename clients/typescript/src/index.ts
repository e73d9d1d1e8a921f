export { createClient } from "./client.js"
export type { Client } from "./client.js"
export type { ClientOptions, TokenStorage } from "./options.js"
export { WatchwordError } from "./error.js"
export type { FieldError, WatchwordErrorCode } from "./error.js"
export type { Code } from "./codes.js"
export type { Listener, Snapshot } from "./session.js"
export type { StepUpChallenge, StepUpHandler } from "./stepup.js"
export type {
  Challenge,
  Credentials,
  DeviceSession,
  FactorLogin,
  FactorProof,
  Invitation,
  LogoutAllAnswer,
  MeAnswer,
  Message,
  Metadata,
  Registration,
  SessionsAnswer,
  User,
  UserAnswer,
  Verification,
} from "./api.js"
