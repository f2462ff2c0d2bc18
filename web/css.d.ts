/** Styles stand beside the component that draws them; the build bundles them. */
declare module '*.css'
