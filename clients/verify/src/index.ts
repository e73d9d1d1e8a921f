export { TokenError, type TokenErrorCode } from "./error.js"
export { authorize, type Guards, type Refusal, type Rule } from "./guard.js"
export { Identity } from "./identity.js"
export { Verifier, type VerifierOptions } from "./verifier.js"
