console.log('ran on node', process.argv[2])
