import starlight from '@astrojs/starlight'
import { defineConfig } from 'astro/config'
import navigation from './generated/navigation.json' with { type: 'json' }

export default defineConfig({
  // Where it is published, for the sitemap and canonical addresses.
  site: process.env.SITE_URL,
  markdown: { shikiConfig: { themes: { light: 'github-light', dark: 'github-dark' }, defaultColor: 'light-dark()' } },
  integrations: [
    starlight({
      title: 'Iron Cage',
      description: 'A seat belt for AI agents.',
      logo: { src: './src/logo.svg' },
      favicon: '/favicon.svg',
      customCss: ['./src/styles/docs.css'],
      sidebar: navigation,
      // No second copy of a page's text is kept, so there is nothing to edit or to date here.
      lastUpdated: false,
      credits: false,
    }),
  ],
})
