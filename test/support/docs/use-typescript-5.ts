import { registerHooks } from 'node:module'

// openapi-typescript builds its output with the compiler API of TypeScript 5, which TypeScript 7 no longer has.
registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier === 'typescript' ? 'typescript-5' : specifier, context),
})
