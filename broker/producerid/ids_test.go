package producerid

import (
	"context"
	"errors"
	"testing"
)

func TestBlocksAreUsedUpBeforeTheNext(t *testing.T) {
	first, refuse := int64(5000), errors.New("no leader")
	ids := IDs{Reserve: func(_ context.Context, count int32) (int64, error) {
		defer func() { first += 7000 }()
		return first, refuse
	}}
	if id, err := ids.Next(t.Context()); !errors.Is(err, refuse) || id != -1 {
		t.Errorf("T1: %d, %v", id, err)
	}
	refuse = nil
	for i := range int64(2 * Block) {
		want := 12000 + i
		if i >= Block {
			want = 19000 + i - Block
		}
		if id, err := ids.Next(t.Context()); err != nil || id != want {
			t.Fatalf("T1: id %d is %d, %v; want %d", i, id, err, want)
		}
	}
}
