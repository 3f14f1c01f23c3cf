// A serial line at clk / DIV baud, 8 bits, no parity, one stop bit: bytes in, bytes out.
module uart #(
  parameter int DIV = 32
) (
  input  logic clk, rst,
  input  logic rx,
  output logic tx,
  output logic in_valid,
  output logic [7:0] in,
  input  logic out_valid,  // while ready
  output logic out_ready,
  input  logic [7:0] out
);
  logic [2:0] line;
  logic [15:0] rx_count, tx_count;
  logic [3:0] rx_bits, tx_bits;
  logic [8:0] shift;
  assign tx = shift[0];
  assign out_ready = tx_bits == 0;
  always_ff @(posedge clk) begin
    line <= {line[1:0], rx};
    in_valid <= 0;
    if (rx_bits == 0) begin
      if (line[2:1] == 2'b10) begin  // a start bit; its middle comes half a bit later
        rx_bits <= 10;
        rx_count <= 16'(DIV / 2);
      end
    end else if (rx_count != 0) rx_count <= rx_count - 1;
    else begin
      rx_count <= 16'(DIV - 1);
      rx_bits <= rx_bits - 1;
      if (rx_bits == 10 && line[1]) rx_bits <= 0;  // no start bit after all
      if (rx_bits > 1) in <= {line[1], in[7:1]};
      if (rx_bits == 1) in_valid <= line[1];
    end
    if (tx_bits == 0) begin
      if (out_valid) begin
        shift <= {out, 1'b0};
        tx_bits <= 10;
        tx_count <= 16'(DIV - 1);
      end
    end else if (tx_count != 0) tx_count <= tx_count - 1;
    else begin
      tx_count <= 16'(DIV - 1);
      tx_bits <= tx_bits - 1;
      shift <= {1'b1, shift[8:1]};
    end
    if (rst) begin
      line <= '1;
      rx_bits <= 0;
      tx_bits <= 0;
      shift <= '1;
    end
  end
endmodule
