// Sends a request to each URL of its arguments, and prints a line of JSON for each answer.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	for _, url := range os.Args[1:] {
		start := time.Now()
		text, ok := get(url)
		line, _ := json.Marshal(map[string]any{"ok": ok, "text": text, "ms": time.Since(start).Milliseconds()})
		fmt.Println(string(line))
	}
}

func get(url string) (string, bool) {
	response, err := http.Get(url)
	if err != nil {
		return err.Error(), false
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return string(body), response.StatusCode == 200
}
