package main

import "github.com/spf13/cobra"

func newFiles(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "files",
		Short: "the ledger of file versions: ls, show, retry, undo, reload, verify, adopt",
		Long: `Files shows and corrects the ledger, which has one row for each version of each
file. What changes data shows counts first, asks above 100 files unless --yes is
given, and is written to 'penstock actions' with its --reason.`,
	}
	asGroup(cmd)
	cmd.AddCommand(newFilesLs(a), newFilesShow(a), newFilesRetry(a), newFilesUndo(a), newFilesReload(a), newFilesVerify(a), newFilesAdopt(a))
	return cmd
}
