from fashionfae_lavis.cli import main

main()
