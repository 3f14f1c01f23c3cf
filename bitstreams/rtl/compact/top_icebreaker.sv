// iCEBreaker: the compact engine at the board's 12 MHz, behind its USB serial line, with the device's single-port memory.
module top_icebreaker #(
  parameter int DIV = 4  // of the clock, to 3 Mbaud
) (
  input  logic clk_12mhz,
  input  logic rx,
  output logic tx,
  output logic led_red_n, led_green_n
);
  logic busy;
  compact_board #(.DIV(DIV)) u_board (.clk(clk_12mhz), .rx, .tx, .busy);
  assign led_red_n = ~busy;
  assign led_green_n = busy;
endmodule
